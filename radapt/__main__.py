"""`python -m radapt`: anchors, fits, fine-tuning and analyses from the command line."""

import sys

from radapt.cli.main import main

sys.exit(main())
