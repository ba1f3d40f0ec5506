# From a machine with python3 and make: every target does all the set-up that it needs. `make help` lists them.

# PYTHON=/path/to/python3.12 chooses the interpreter; otherwise it is the first on PATH that fits.
CHECK   := import sys; v = sys.version_info[:2]; print("%d.%d" % v); sys.exit(not (3, 11) <= v <= (3, 13))
fits     = $(shell $(1) -c '$(CHECK)' >/dev/null 2>&1 && echo $(1))
PYTHON  := $(or $(PYTHON),$(call fits,python3),$(call fits,python3.13),$(call fits,python3.12),$(call fits,python3.11),python3)
VERSION := $(shell $(PYTHON) -c '$(CHECK)' 2>/dev/null)
REMEDY  := needs Python 3.11 to 3.13: PYTHON=/path/to/python3.12 make $(MAKECMDGOALS)

RUN     := .venv/bin/python
TRAIN   := .venv/.installed-$(VERSION)
TEST    := .venv/.installed-$(VERSION)-dev
SPARK   := .venv/.installed-$(VERSION)-spark

# Some machines forbid byte code; importing the libraries without it takes three times as long.
export UV_COMPILE_BYTECODE := 1
export UV_PROJECT_ENVIRONMENT := .venv
export PATH := $(CURDIR)/.uv/bin:$(PATH)
unexport VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help bundle connect install train spark test test-databricks databricks-acceptance unit lint clean python

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(TRAIN) ## install what is needed, and nothing else

connect: $(TRAIN) ## the same, with Databricks Connect for tables of Unity Catalog: Python 3.12, where nothing else brings Spark
	@uv=$$($(PYTHON) tools/get_uv.py) && "$$uv" pip install -q --python $(RUN) 'databricks-connect>=17,<18'

train: $(TRAIN) ## install what is needed, then run the training pipeline on simulated data
	$(RUN) run.py --pipeline training

spark: $(SPARK) ## install PySpark too, for --engine spark; Java 17 is yours to bring

CLUSTER := tests/databricks tests/adapters/spark

test: lint ## everything that CI checks, but for Spark and Databricks
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15 $(CLUSTER:%=--ignore=%)

test-databricks: $(TEST) .sail/installed ## Spark, and the adapters of Databricks against a workspace on this machine
	$(RUN) -m pytest $(CLUSTER) -n 2 --dist loadfile --durations=15

bundle: $(TEST) ## write the bundles for Databricks to build/bundle, and check them without a workspace
	$(RUN) run.py stack bundle --out build/bundle
	$(RUN) tools/check_bundle.py build/bundle

databricks-acceptance: $(TRAIN) ## prove in a real workspace what only one can prove (ARGS="--set profile.databricks.catalog=dev")
	$(RUN) tools/databricks_acceptance.py $(ARGS)

unit: $(TEST) ## the fast tests, for while you work
	$(RUN) -m pytest tests/unit -m 'not slow' -n 2 --dist worksteal

lint: $(TEST) ## style, who may import whom, types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-cache --no-logo
	$(RUN) -m mypy adapters churn cli materializers pipelines reports serving steps

clean: ## remove the environment and every cache; .churn/ with your tables and models stays
	rm -rf .venv .uv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The training environment is part of the test environment: installing it again removes nothing.
$(TRAIN): GROUPS := --no-dev --inexact
$(SPARK): GROUPS := --no-dev --inexact --extra spark
# `.uv/installing` is there while an installation runs: one that was killed leaves packages in parts, and is begun anew.
.venv/.installed-%: pyproject.toml uv.lock | python
	@if [ -e .uv/installing ]; then echo 'An installation was interrupted: it is begun anew.'; rm -rf .venv; fi; \
	  mkdir -p .uv && touch .uv/installing
	@uv=$$($(PYTHON) tools/get_uv.py) && \
	  "$$uv" sync --frozen --no-python-downloads --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(GROUPS) || \
	  { echo 'make: the set-up failed, see above; it needs the package index once. The same command goes on where it stopped.' >&2; exit 1; }
	@touch $@ && rm .uv/installing

# Sail runs the adapters of Databricks; its client refuses the project's PySpark.
.sail/installed: tests/databricks/requirements-sail.txt | $(TEST)
	@uv=$$($(PYTHON) tools/get_uv.py) && "$$uv" venv -q --clear --no-python-downloads --python $(RUN) .sail && \
	  "$$uv" pip sync -q --python .sail/bin/python $<
	@touch $@

python:
	@case '$(VERSION)' in 3.11 | 3.12 | 3.13) ;; \
	  '') echo '$(PYTHON) does not run; $(REMEDY)' >&2; exit 1 ;; \
	  *) echo '$(PYTHON) is $(VERSION); $(REMEDY)' >&2; exit 1 ;; esac
