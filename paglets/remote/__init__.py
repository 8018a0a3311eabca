"""Talking to hosts: identity, trust, the wire, clients, proxies, the mesh."""
