"""What the process imports that commands are forked from; see `warm`."""

from tests.e2e.warm import import_everything

import_everything()
