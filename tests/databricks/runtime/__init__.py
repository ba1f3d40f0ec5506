"""What a runtime of the tests brings beside the wheel of a job: PySpark as a client of Sail, and Databricks Connect."""
