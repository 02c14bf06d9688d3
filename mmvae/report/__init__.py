"""What people look at: tables, figures and the page that holds them."""
