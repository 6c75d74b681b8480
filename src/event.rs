//! L1: the only names of metrics and log lines.
