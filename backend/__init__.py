"""nextlabel tells a Label Studio project what to label next."""
