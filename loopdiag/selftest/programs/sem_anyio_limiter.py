"""Download invoices with AnyIO's structured concurrency."""

import sys

import anyio
import httpx


async def download(client: httpx.AsyncClient, number: int, limiter: anyio.CapacityLimiter, sizes: list[int]) -> None:
    async with limiter:  # <- here
        response = await client.get(f"/{number}")
        sizes.append(len(response.content))


async def main(n: int, url: str) -> None:
    limiter = anyio.CapacityLimiter(6)  # <- here
    sizes: list[int] = []
    async with httpx.AsyncClient(base_url=url) as client, anyio.create_task_group() as group:
        for number in range(1, n + 1):
            group.start_soon(download, client, number, limiter, sizes)
    print(len(sizes), "invoices")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), sys.argv[2])
