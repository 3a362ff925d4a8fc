"""`python -m mulcot`."""

from mulcot.cli import main

main()
