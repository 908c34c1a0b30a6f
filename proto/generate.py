"""The protobuf build: every .proto under proto/ becomes Python under the private package chain._pb.

Runs as a hatch build hook (so installing the project is enough) and as `python proto/generate.py`.
Generated files are never committed.
"""

import re
import shutil
import sys
from pathlib import Path

PROTO_ROOT = Path(__file__).resolve().parent
OUTPUT_ROOT = PROTO_ROOT.parent / "chain" / "_pb"
PRIVATE_PACKAGE = "chain._pb"
# Our own messages live in proto/margin; the cosmos, ibc and tendermint messages in proto/wire.
INCLUDE_ROOTS = (PROTO_ROOT, PROTO_ROOT / "wire")
# protoc writes absolute imports from the include root; they must point into the private package.
_IMPORT = re.compile(r"^from (?!google\.)([a-z][\w.]*) import (\w+_pb2)", re.MULTILINE)


def proto_files() -> list[str]:
    """Paths of all .proto files, each relative to its include root, sorted."""
    own = [p.relative_to(PROTO_ROOT) for p in (PROTO_ROOT / "margin").rglob("*.proto")]
    wire = [p.relative_to(PROTO_ROOT / "wire") for p in (PROTO_ROOT / "wire").rglob("*.proto")]
    return sorted(str(p) for p in own + wire)


def is_fresh() -> bool:
    """Whether the generated package is newer than every .proto file and this script."""
    stamp = OUTPUT_ROOT / "__init__.py"
    if not stamp.exists():
        return False
    sources = [*PROTO_ROOT.rglob("*.proto"), Path(__file__)]
    generated = {p.relative_to(OUTPUT_ROOT) for p in OUTPUT_ROOT.rglob("*_pb2.py")}
    expected = {Path(f.removesuffix(".proto") + "_pb2.py") for f in proto_files()}
    newest = max(p.stat().st_mtime for p in sources)
    return generated == expected and stamp.stat().st_mtime >= newest


def generate() -> None:
    """Write chain/_pb from scratch; raises RuntimeError when protoc refuses a file."""
    from importlib.resources import files

    from grpc_tools import protoc

    staging = OUTPUT_ROOT.with_name("_pb.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    well_known = str(files("grpc_tools") / "_proto")
    arguments = ["protoc", *(f"-I{root}" for root in (*INCLUDE_ROOTS, well_known))]
    arguments += [f"--python_out={staging}", f"--pyi_out={staging}", *proto_files()]
    if protoc.main(arguments) != 0:
        shutil.rmtree(staging)
        raise RuntimeError("protoc refused a file; its message stands above")
    for folder in [p for p in staging.rglob("*") if p.is_dir()]:
        (folder / "__init__.py").touch()
    for path in [*staging.rglob("*_pb2.py"), *staging.rglob("*_pb2.pyi")]:
        text = _IMPORT.sub(rf"from {PRIVATE_PACKAGE}.\1 import \2", path.read_text())
        path.write_text(text)
    (staging / "__init__.py").write_text('"""Generated from proto/ by proto/generate.py."""\n')
    shutil.rmtree(OUTPUT_ROOT, ignore_errors=True)
    staging.rename(OUTPUT_ROOT)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # Run as a script without hatchling installed.
    pass
else:

    class ProtoBuildHook(BuildHookInterface):  # type: ignore[type-arg]
        """Generates chain._pb before hatchling packs a wheel or installs in place."""

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            del version
            if not is_fresh():
                generate()
            artifacts = build_data["artifacts"]
            assert isinstance(artifacts, list)
            artifacts.append("chain/_pb/**")


if __name__ == "__main__":
    if "--force" in sys.argv or not is_fresh():
        generate()
