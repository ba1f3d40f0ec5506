"""What the process imports that other processes are forked from; see `forks`."""

from tests.forks import import_everything

import_everything()
