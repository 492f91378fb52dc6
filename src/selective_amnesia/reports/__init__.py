"""Tables made from kept measurements."""
