"""httpx on uvloop, with a client made where it is needed."""

import argparse
import asyncio
import ssl

import httpx
import uvloop


async def get_json(url, context):
    async with httpx.AsyncClient(verify=context, timeout=30) as client:  # <- here
        response = await client.get(url)
        return response.json()


async def worker(jobs, context, results):
    for url in jobs:
        results.append(await get_json(url, context))


async def main(args):
    context = ssl.create_default_context(cafile=args.ca)
    jobs = iter([f"{args.url}/{i}" for i in range(1, args.n + 1)])
    results = []
    await asyncio.gather(*(worker(jobs, context, results) for _ in range(8)))
    print(len(results), "documents")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", type=int)
    parser.add_argument("url")
    parser.add_argument("--ca")
    uvloop.run(main(parser.parse_args()))
