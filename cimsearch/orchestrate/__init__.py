"""The study loop: propose, price, dispatch, record."""
