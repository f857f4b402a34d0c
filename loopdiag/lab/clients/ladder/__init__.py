"""What the clients epoll, protocol and streams share: as little as will do the work of a library's client.

HTTP/1.1, keep-alive, a pool with a limit, redirects, content coding, TLS that verifies.
"""
