"""How flows are started, and what keeps them going: three rooms. They start flows and report; they decide nothing.

`cli` is the command line, `service` takes what comes over HTTP; neither knows the other. `runner` holds the processes
beside them (preforked process, watchdog, Prefect's own), and knows neither.
"""
