"""The lab touches the world and does not think: plans, trials, clients, loops, servers, probes, the store."""
