"""What a bag is made of, one file each."""
