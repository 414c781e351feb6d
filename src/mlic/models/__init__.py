"""Image models: any timm backbone with one of our heads."""
