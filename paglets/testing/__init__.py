"""What tests of paglets, and of hosts, are made of. Above the host: nothing that runs in service imports it."""
