"""Who is who: host keys and ids, the mesh directory, certificates, revocation, TLS contexts."""
