"""Many callers at once, most of them ill-behaved, and engines that fail."""
