"""Services between paglets: typed contracts, records of who offers what, resident services and leases."""
