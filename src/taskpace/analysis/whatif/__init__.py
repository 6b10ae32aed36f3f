"""The same answers on another deployment: how long each would take, from the split of a trial's time."""
