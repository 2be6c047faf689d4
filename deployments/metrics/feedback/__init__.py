"""What users said of answers: who may send it, how it is read and kept, and whose answer it is about."""
