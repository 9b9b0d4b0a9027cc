import sys

sys.exit("not without its settings")
