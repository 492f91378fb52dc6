"""Who says what a picture shows: classifiers that nothing is ever optimised against."""
