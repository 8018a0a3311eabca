"""Small stateful objects that move between hosts. Import from the module that owns what you need."""
