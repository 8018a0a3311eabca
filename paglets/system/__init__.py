"""Resident services that come with the library: facts of a host, facts of the mesh, telling people something."""
