"""Keep each answer as a tree whose nodes know their parents."""

import asyncio
import sys

import aiohttp


class Node:
    def __init__(self, parent, value):
        self.parent, self.value, self.children = parent, value, []
        if parent is not None:
            parent.children.append(self)


def tree(text):
    root = Node(None, "")
    for value in range(4000):
        Node(root, [value])  # <- here
    root.text = text
    return root


async def fetch(session, url, forest):
    async with session.get(url) as response:
        forest.append(tree(await response.text()))  # <- here


async def main(n, base):
    forest = []
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(fetch(session, f"{base}/{i}", forest) for i in range(1, n + 1)))
    print(len(forest), "trees")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
