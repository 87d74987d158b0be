"""The network, its priors, and where its first weights come from."""
