"""Current weather of many stations, with httpx on uvloop."""

import argparse
import asyncio

import httpx
import uvloop


class WeatherClient:
    def __init__(self, base_url):
        limits = httpx.Limits(max_connections=5, max_keepalive_connections=5)
        self._http = httpx.AsyncClient(base_url=base_url, limits=limits, timeout=60)  # <- here

    async def station(self, number):
        response = await self._http.get(f"/{number}")
        response.raise_for_status()
        return response.json()

    async def close(self):
        await self._http.aclose()


async def main(args):
    client = WeatherClient(args.url)
    try:
        stations = await asyncio.gather(*[client.station(i + 1) for i in range(args.count)])
    finally:
        await client.close()
    print("stations:", len(stations))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("url")
    uvloop.run(main(parser.parse_args()))
