"""A real S3 server on this machine for tests and trials: Ceph's object gateway (RGW) from Debian's packages, nothing installed."""
