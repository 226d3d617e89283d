"""Own data: sources that read the files of users, in the forms in which people keep them."""
