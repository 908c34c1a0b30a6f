"""ICS-04: channels between applications and the packets that cross them."""
