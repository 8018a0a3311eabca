"""How a child process is made: by a zygote that forks, or by spawning a fresh interpreter."""
