"""Services on a host: who offers what, finding it on the whole mesh, resident services and leases."""
