"""`python -m radapt`: extract and fit anchors, fine-tune towers and draw analyses."""

import sys

from radapt.cli.main import main

sys.exit(main())
