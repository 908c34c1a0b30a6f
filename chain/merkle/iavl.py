"""The IAVL+ tree: a versioned, balanced Merkle tree, byte-identical to cosmos/iavl 1.2.

Node hashes: leaf sha256(varint 0, varint 1, varint version, len‖key, 0x20‖sha256(value)); inner
node sha256(varint height, varint size, varint version, 0x20‖left, 0x20‖right); varints are zig-zag.
The root of an empty tree is sha256(""). A node's version is the block that made it, so roots depend
on history and on the order of updates within a block: ascending by key.

A persisted node is immutable and named by its node key: 8 bytes version, 4 bytes nonce, big-endian.
An inner node names its children and carries their hashes and heights, so that neither hashing a
changed node nor proving a key loads siblings. This file does no IO: nodes come from a NodeSource,
and `save` returns the records to persist and the node keys that left the tree.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from chain.merkle.ics23 import (
    ExistenceProof,
    HashOp,
    InnerOp,
    LeafOp,
    LengthOp,
    NonExistenceProof,
    encode_uvarint,
)

EMPTY_ROOT_HASH = sha256(b"").digest()
"""The root hash of a tree without keys."""

NODE_KEY_LENGTH = 12

NodeKey = bytes
LeafNode = tuple[bytes, bytes]
"""A persisted leaf: key, value. Plain tuples of bytes and ints, which the collector untracks."""
InnerNode = tuple[int, int, int, NodeKey, NodeKey, bytes, bytes, bytes]
"""A persisted inner node: heights of left and right, size (leaves below), node keys of left and
right, hashes of left and right, key (the smallest of the right subtree)."""
Node = LeafNode | InnerNode
NodeSource = Callable[[NodeKey], Node]
"""Loads a persisted node; raises when it is absent."""

_INNER = Struct(">BBQ12s12s32s32s")
_LEAF_MARK = b"\xff"  # An inner record starts with the height of its left child, far below 255.
_LEAF_HEADER = Struct(">BI")
_HASHED_SIZES = 4096


class NodeRecordMalformed(ValueError):
    """Bytes that are no node record: the database is damaged."""


class Root(NamedTuple):
    """The root of a non-empty persisted tree."""

    node_key: NodeKey
    height: int
    hash: bytes


class SavedTree(NamedTuple):
    """What a version adds: root (None: empty), new nodes with their records, dropped nodes."""

    root: Root | None
    nodes: list[tuple[NodeKey, Node, bytes]]
    orphans: list[NodeKey]
    next_nonce: int

    @property
    def root_hash(self) -> bytes:
        """The root hash, also of the empty tree."""
        return self.root.hash if self.root is not None else EMPTY_ROOT_HASH


def get_node_version(node_key: NodeKey) -> int:
    """The version that made a persisted node."""
    return int.from_bytes(node_key[:8], "big")


def make_node_key(version: int, nonce: int) -> NodeKey:
    """The node key of the nonce-th node that a version made."""
    return version.to_bytes(8, "big") + nonce.to_bytes(4, "big")


def encode_node(node: Node) -> bytes:
    """The record of a node as it is persisted."""
    if len(node) == 2:
        return _LEAF_HEADER.pack(255, len(node[0])) + node[0] + node[1]
    return _INNER.pack(*node[:7]) + node[7]


def decode_node(record: bytes) -> Node:
    """The node of a record; raises NodeRecordMalformed."""
    if record[:1] == _LEAF_MARK:
        if len(record) < _LEAF_HEADER.size:
            raise NodeRecordMalformed(
                f"leaf record of {len(record)} bytes is shorter than its header"
            )
        end = _LEAF_HEADER.size + int.from_bytes(record[1:5], "big")
        return (record[_LEAF_HEADER.size : end], record[end:])
    if len(record) <= _INNER.size:
        raise NodeRecordMalformed(f"inner record of {len(record)} bytes is not above {_INNER.size}")
    return (*_INNER.unpack_from(record), record[_INNER.size :])


def encode_zigzag(value: int) -> bytes:
    """A nonnegative integer as Go's binary.PutVarint writes it."""
    return encode_uvarint(value << 1)


_ZIGZAG = [encode_zigzag(value) for value in range(_HASHED_SIZES)]


def hash_leaf(key: bytes, value: bytes, version: int) -> bytes:
    """The node hash of a leaf."""
    head = b"\x00\x02" + encode_zigzag(version)
    return sha256(head + encode_uvarint(len(key)) + key + b"\x20" + sha256(value).digest()).digest()


def hash_inner(height: int, size: int, version: int, left: bytes, right: bytes) -> bytes:
    """The node hash of an inner node over the hashes of its children."""
    head = encode_zigzag(height) + encode_zigzag(size) + encode_zigzag(version)
    return sha256(head + b"\x20" + left + b"\x20" + right).digest()


class _Leaf:
    """A leaf made or rewritten since the last save."""

    __slots__ = ("key", "value")

    def __init__(self, key: bytes, value: bytes) -> None:
        self.key = key
        self.value = value


class _Inner:
    """An inner node changed since the last save. A child's hash counts while it is persisted."""

    __slots__ = (
        "key",
        "left",
        "left_hash",
        "left_height",
        "right",
        "right_hash",
        "right_height",
        "size",
    )

    def __init__(
        self,
        left_height: int,
        right_height: int,
        size: int,
        left: "_Child",
        right: "_Child",
        left_hash: bytes,
        right_hash: bytes,
        key: bytes,
    ) -> None:
        self.left_height = left_height
        self.right_height = right_height
        self.size = size
        self.left = left
        self.right = right
        self.left_hash = left_hash
        self.right_hash = right_hash
        self.key = key

    def height(self) -> int:
        """One more than the taller child, which is taller by one at most."""
        left, right = self.left_height, self.right_height
        return left + 1 + (right > left)


_Child = NodeKey | _Leaf | _Inner
_Step = tuple[_Inner, bool]  # An inner node on the way down, and whether the way went left.


class WorkingTree:
    """A persisted tree with the changes of the next version on top; `save` ends its use.

    The persisted nodes below are never changed, so a working tree may be dropped at any moment.
    """

    __slots__ = (
        "_next_nonce",
        "_orphans",
        "_overwritten",
        "_root",
        "_root_hash",
        "_source",
        "version",
    )

    def __init__(
        self, source: NodeSource, root: Root | None, version: int, next_nonce: int = 1
    ) -> None:
        self.version = version
        self._source = source
        self._root: _Child | None = root.node_key if root is not None else None
        self._root_hash = root.hash if root is not None else b""
        self._orphans: list[NodeKey] = []
        self._next_nonce = next_nonce
        self._overwritten: list[tuple[bytes, bytes]] = []

    def apply(
        self,
        writes: Iterable[tuple[bytes, bytes | None]],
        is_present: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Set each key, or remove it where the value is None; keys ascend strictly.

        With `is_present` (of the tree as it was before this call) overwrites wait for `save`, which
        rewrites them on one way down instead of one each; then this is the last call before `save`.
        The result is the same: an overwrite moves no node, and of the nodes on its way a rotation
        only changes those that it rewrites itself, so the version of every node comes out equal.
        """
        for key, value in writes:
            if is_present is None or not is_present(key):
                if value is not None:
                    self.set(key, value)
                elif is_present is None:
                    self.remove(key)
            elif value is None:
                self.remove(key)
            else:
                self._overwritten.append((key, value))

    def set(self, key: bytes, value: bytes) -> None:
        """Insert or overwrite a key; an equal value still makes a new leaf version."""
        node: _Child | None = self._root
        if node is None:
            self._root = _Leaf(key, value)
            return
        source, orphans = self._source, self._orphans
        path: list[_Step] = []
        parent: _Inner | None = None
        is_left = False
        while True:
            if isinstance(node, bytes):
                record = source(node)
                if len(record) == 2:
                    leaf_key = record[0]
                    break
                orphans.append(node)
                inner = _Inner(*record)
                self._attach(parent, is_left, inner)
            elif isinstance(node, _Leaf):
                leaf_key = node.key
                break
            else:
                inner = node
            parent = inner
            is_left = key < inner.key
            path.append((inner, is_left))
            node = inner.left if is_left else inner.right
        if leaf_key == key:
            if isinstance(node, _Leaf):
                node.value = value
            else:
                orphans.append(node)
                self._attach(parent, is_left, _Leaf(key, value))
            return
        self._insert_beside(path, node, leaf_key, _Leaf(key, value))

    def _insert_beside(self, path: list[_Step], old: "_Child", old_key: bytes, new: _Leaf) -> None:
        """Put an inner node over the leaf found and the new one, and rebalance upward."""
        if path:
            parent, is_left = path[-1]
            old_hash = parent.left_hash if is_left else parent.right_hash
        else:
            old_hash = self._root_hash
        if new.key < old_key:
            inner = _Inner(0, 0, 2, new, old, b"", old_hash, old_key)
        else:
            inner = _Inner(0, 0, 2, old, new, old_hash, b"", new.key)
        self._replace_upward(path, inner, 1, b"", 1)

    def _attach(self, parent: _Inner | None, is_left: bool, child: "_Child") -> None:  # noqa: FBT001
        """Hang a changed node of unchanged height under its parent."""
        if parent is None:
            self._root = child
        elif is_left:
            parent.left = child
        else:
            parent.right = child

    def _replace_upward(
        self, path: list[_Step], child: "_Child", height: int, child_hash: bytes, growth: int
    ) -> None:
        """Hang a subtree whose height or size changed, and rebalance each node above it."""
        while path:
            node, is_left = path.pop()
            node.size += growth
            if is_left:
                node.left, node.left_height, node.left_hash = child, height, child_hash
            else:
                node.right, node.right_height, node.right_hash = child, height, child_hash
            balance = node.left_height - node.right_height
            if balance > 1 or balance < -1:
                node = self._rebalance(node)
            child, height, child_hash = node, node.height(), b""
        self._root = child
        self._root_hash = child_hash

    def remove(self, key: bytes) -> bool:
        """Remove a key; False, and nothing changes, when it is absent."""
        if self._root is None or not self._has(key):
            return False
        node: _Child = self._root
        path: list[_Step] = []
        parent: _Inner | None = None
        is_left = False
        while True:
            if isinstance(node, bytes):
                record = self._source(node)
                self._orphans.append(node)
                if len(record) == 2:
                    break
                inner = _Inner(*record)
                self._attach(parent, is_left, inner)
            elif isinstance(node, _Leaf):
                break
            else:
                inner = node
            parent = inner
            is_left = key < inner.key
            path.append((inner, is_left))
            node = inner.left if is_left else inner.right
        if not path:
            self._root = None
            self._root_hash = b""
            return True
        above, is_left = path.pop()
        if is_left:
            # The removed key named the nearest inner node that has it in its right subtree.
            for ancestor, went_left in reversed(path):
                if not went_left:
                    ancestor.key = above.key
                    break
            self._replace_upward(path, above.right, above.right_height, above.right_hash, -1)
        else:
            self._replace_upward(path, above.left, above.left_height, above.left_hash, -1)
        return True

    def _has(self, key: bytes) -> bool:
        node = self._root
        assert node is not None
        while True:
            if isinstance(node, bytes):
                record = self._source(node)
                if len(record) == 2:
                    return record[0] == key
                node = record[3] if key < record[7] else record[4]
            elif isinstance(node, _Leaf):
                return node.key == key
            else:
                node = node.left if key < node.key else node.right

    def _own(self, node: "_Child") -> _Inner:
        """The changed form of an inner node."""
        if isinstance(node, bytes):
            record = self._source(node)
            assert len(record) == 8
            self._orphans.append(node)
            return _Inner(*record)
        assert isinstance(node, _Inner)
        return node

    def _get_size(self, node: "_Child", height: int) -> int:
        if height == 0:
            return 1
        if isinstance(node, bytes):
            record = self._source(node)
            assert len(record) == 8
            return record[2]
        assert isinstance(node, _Inner)
        return node.size

    def _rebalance(self, node: _Inner) -> _Inner:
        """The four AVL cases; ties between single and double rotation go to the single one."""
        if node.left_height > node.right_height:
            left = node.left = self._own(node.left)
            if left.left_height < left.right_height:
                node.left = self._rotate_left(left)
            return self._rotate_right(node)
        right = node.right = self._own(node.right)
        if right.left_height > right.right_height:
            node.right = self._rotate_right(right)
        return self._rotate_left(node)

    def _rotate_right(self, node: _Inner) -> _Inner:
        top = self._own(node.left)
        moved_size = self._get_size(top.right, top.right_height)
        node.size, top.size = node.size - top.size + moved_size, node.size
        node.left, node.left_height, node.left_hash = top.right, top.right_height, top.right_hash
        top.right, top.right_height = node, node.height()
        return top

    def _rotate_left(self, node: _Inner) -> _Inner:
        top = self._own(node.right)
        moved_size = self._get_size(top.left, top.left_height)
        node.size, top.size = node.size - top.size + moved_size, node.size
        node.right, node.right_height, node.right_hash = top.left, top.left_height, top.left_hash
        top.left, top.left_height = node, node.height()
        return top

    def save(self) -> SavedTree:
        """Hash every changed node once, give each a node key, and return what to persist."""
        root = self._root
        if root is None:
            return SavedTree(None, [], self._orphans, self._next_nonce)
        nodes: list[tuple[NodeKey, Node, bytes]] = []
        if self._overwritten or not isinstance(root, bytes):
            root_key, root_hash = self._save_changed(root, nodes)
        else:
            root_key, root_hash = root, self._root_hash
        record = nodes[-1][1] if nodes else self._source(root_key)
        height = 0 if len(record) == 2 else max(record[0], record[1]) + 1
        next_nonce = self._next_nonce + len(nodes)
        return SavedTree(Root(root_key, height, root_hash), nodes, self._orphans, next_nonce)

    def _save_changed(
        self, root: "_Child", nodes: list[tuple[NodeKey, Node, bytes]]
    ) -> tuple[NodeKey, bytes]:
        """Append the changed nodes under (and with) the root in post-order."""
        version_varint = encode_zigzag(self.version)
        leaf_head = b"\x00\x02" + version_varint
        inner_head = version_varint + b"\x20"
        first_key = (self.version << 32) + self._next_nonce
        append, pack_inner, pack_leaf = nodes.append, _INNER.pack, _LEAF_HEADER.pack
        source, orphans, zigzag = self._source, self._orphans, _ZIGZAG
        keys = [key for key, _ in self._overwritten]
        values = [value for _, value in self._overwritten]

        def save_leaf(key: bytes, value: bytes) -> tuple[NodeKey, bytes]:
            length = len(key)
            prefix = bytes((length,)) if length < 128 else encode_uvarint(length)
            digest = sha256(leaf_head + prefix + key + b"\x20" + sha256(value).digest()).digest()
            node_key = (first_key + len(nodes)).to_bytes(NODE_KEY_LENGTH, "big")
            append((node_key, (key, value), pack_leaf(255, length) + key + value))
            return node_key, digest

        def save_node(node: _Child, start: int, end: int) -> tuple[NodeKey, bytes]:
            left: _Child
            right: _Child
            # The overwritten keys of this subtree are keys[start:end].
            if isinstance(node, bytes):
                record = source(node)
                orphans.append(node)
                if len(record) == 2:
                    assert keys[start:end] == [record[0]], f"{keys[start:end]} are not in the tree"
                    return save_leaf(record[0], values[start])
                left_height, right_height, size, left, right, left_hash, right_hash, key = record
            elif isinstance(node, _Leaf):
                assert start == end, f"{keys[start:end]} are both new and overwritten"
                return save_leaf(node.key, node.value)
            else:
                left, right, key, size = node.left, node.right, node.key, node.size
                left_height, right_height = node.left_height, node.right_height
                left_hash, right_hash = node.left_hash, node.right_hash
            middle = bisect_left(keys, key, start, end) if start < end else start
            if start < middle or not isinstance(left, bytes):
                left, left_hash = save_node(left, start, middle)
            if middle < end or not isinstance(right, bytes):
                right, right_hash = save_node(right, middle, end)
            # Balanced: the right subtree is at most one taller.
            height = left_height + 1 + (right_height > left_height)
            head = zigzag[height] + (zigzag[size] if size < _HASHED_SIZES else encode_zigzag(size))
            digest = sha256(b"%b%b%b\x20%b" % (head, inner_head, left_hash, right_hash)).digest()
            node_key = (first_key + len(nodes)).to_bytes(NODE_KEY_LENGTH, "big")
            packed = pack_inner(left_height, right_height, size, left, right, left_hash, right_hash)
            saved = (left_height, right_height, size, left, right, left_hash, right_hash, key)
            append((node_key, saved, packed + key))
            return node_key, digest

        return save_node(root, 0, len(keys))


def get(source: NodeSource, root: Root | None, key: bytes) -> bytes | None:
    """The value of a key in a persisted tree, or None."""
    if root is None:
        return None
    node = source(root.node_key)
    while len(node) == 8:
        node = source(node[3] if key < node[7] else node[4])
    return node[1] if node[0] == key else None


def iterate(
    source: NodeSource,
    root: Root | None,
    start: bytes = b"",
    end: bytes | None = None,
    *,
    reverse: bool = False,
) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of a persisted tree with start <= key < end, in key order or reversed."""
    stack = [root.node_key] if root is not None else []
    while stack:
        node = source(stack.pop())
        if len(node) == 2:
            if node[0] >= start and (end is None or node[0] < end):
                yield node
            continue
        # Left holds keys below node[7], right the others.
        has_left = start < node[7]
        has_right = end is None or end > node[7]
        if reverse:
            stack += ([node[3]] if has_left else []) + ([node[4]] if has_right else [])
        else:
            stack += ([node[4]] if has_right else []) + ([node[3]] if has_left else [])


def iterate_post_order(
    source: NodeSource, root: Root | None
) -> Iterator[tuple[NodeKey, int, Node]]:
    """Every node of a persisted tree, children before parents: (node key, height, node)."""
    stack: list[tuple[NodeKey, Node | None]] = [(root.node_key, None)] if root is not None else []
    while stack:
        node_key, node = stack.pop()
        if node is None:
            node = source(node_key)
            if len(node) == 8:
                stack += ((node_key, node), (node[4], None), (node[3], None))
                continue
        yield node_key, max(node[0], node[1]) + 1 if len(node) == 8 else 0, node


_Path = list[tuple[NodeKey, InnerNode, bool]]  # Node key, node, whether the way went left.


def _descend(
    source: NodeSource, start: NodeKey, key: bytes, path: _Path
) -> tuple[NodeKey, LeafNode]:
    node_key = start
    node = source(node_key)
    while len(node) == 8:
        is_left = key < node[7]
        path.append((node_key, node, is_left))
        node_key = node[3] if is_left else node[4]
        node = source(node_key)
    return node_key, node


def _descend_to_edge(
    source: NodeSource, start: NodeKey, path: _Path, *, leftmost: bool
) -> tuple[NodeKey, LeafNode]:
    node_key = start
    node = source(node_key)
    while len(node) == 8:
        path.append((node_key, node, leftmost))
        node_key = node[3] if leftmost else node[4]
        node = source(node_key)
    return node_key, node


def _get_neighbour(source: NodeSource, path: _Path, *, to_right: bool) -> ExistenceProof | None:
    """The existence proof of the leaf beside the one the path leads to, if there is one."""
    path = path.copy()
    while path:
        node_key, node, went_left = path.pop()
        if went_left == to_right:
            path.append((node_key, node, not to_right))
            child = node[4] if to_right else node[3]
            leaf_key, leaf = _descend_to_edge(source, child, path, leftmost=to_right)
            return _make_existence_proof(path, leaf_key, leaf)
    return None


def _make_existence_proof(path: _Path, leaf_key: NodeKey, leaf: LeafNode) -> ExistenceProof:
    prefix = b"\x00\x02" + encode_zigzag(get_node_version(leaf_key))
    operation = LeafOp(HashOp.SHA256, HashOp.NO_HASH, HashOp.SHA256, LengthOp.VAR_PROTO, prefix)
    steps = []
    for node_key, node, went_left in reversed(path):
        head = (
            encode_zigzag(max(node[0], node[1]) + 1)
            + encode_zigzag(node[2])
            + encode_zigzag(get_node_version(node_key))
            + b"\x20"
        )
        if went_left:
            steps.append(InnerOp(HashOp.SHA256, head, b"\x20" + node[6]))
        else:
            steps.append(InnerOp(HashOp.SHA256, head + node[5] + b"\x20", b""))
    return ExistenceProof(leaf[0], leaf[1], operation, tuple(steps))


def prove(source: NodeSource, root: Root, key: bytes) -> ExistenceProof | NonExistenceProof:
    """The ICS-23 proof that the key is in the tree with its value, or that it is absent."""
    path: _Path = []
    leaf_key, leaf = _descend(source, root.node_key, key, path)
    here = _make_existence_proof(path, leaf_key, leaf)
    if leaf[0] == key:
        return here
    if leaf[0] < key:
        return NonExistenceProof(key, here, _get_neighbour(source, path, to_right=True))
    return NonExistenceProof(key, _get_neighbour(source, path, to_right=False), here)
