"""The appliance: where the parts of a host are wired into one program."""
