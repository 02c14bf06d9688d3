"""Output for people: tables, figures and the page that holds them."""
