"""Protocol Buffers: messages by definitions in .proto files; metrics, tags and fields are chosen by XPath."""

from typing import Annotated, Any

from google.protobuf.message import DecodeError

from pyagent.api import ConfigError, ParseError, option
from pyagent.kit.proto_schema import load_message
from pyagent.kit.xpath_parser import XPathOptions, XPathParser
from pyagent.kit.xpath_protobuf import ProtobufNode

__all__ = ["XPathProtobuf", "XPathProtobufOptions"]


class XPathProtobufOptions(XPathOptions, frozen=True):
    xpath_protobuf_files: Annotated[list[str], option("files of definitions", reads_path=True)] = []
    xpath_protobuf_file: Annotated[
        str, option("one file of definitions", reads_path=True, deprecated="xpath_protobuf_files")
    ] = ""
    xpath_protobuf_type: Annotated[str, option("the message, with its package: package.Message")] = ""
    xpath_protobuf_import_paths: Annotated[
        list[str], option("folders of the files and of what they import; []: names are paths", reads_path=True)
    ] = []
    xpath_protobuf_skip_bytes: Annotated[int, option("bytes before the message, such as the 5 of GRPC", ge=0)] = 0


class XPathProtobuf(XPathParser[XPathProtobufOptions]):
    def setup(self) -> None:
        super().setup()
        options = self.options
        files = list(options.xpath_protobuf_files)
        if options.xpath_protobuf_file and options.xpath_protobuf_file not in files:
            files.append(options.xpath_protobuf_file)
        if not files:
            raise ConfigError("xpath_protobuf_files must name the definitions", option="xpath_protobuf_files")
        if not options.xpath_protobuf_type:
            raise ConfigError("xpath_protobuf_type must name the message", option="xpath_protobuf_type")
        try:
            self._message = load_message(files, options.xpath_protobuf_import_paths, options.xpath_protobuf_type)
        except OSError as error:
            problem = f"cannot read the definitions in {error.filename!r}: {error.strerror}"
            raise ConfigError(problem, option="xpath_protobuf_files") from None
        except ValueError as error:
            raise ConfigError(f"cannot read the definitions: {error}", option="xpath_protobuf_files") from None

    def read(self, data: bytes) -> Any:
        skip = self.options.xpath_protobuf_skip_bytes
        if len(data) < skip:
            raise ParseError(f"the data are shorter than the {skip} bytes to skip")
        message = self._message()
        try:
            message.ParseFromString(data[skip:])
        except DecodeError as error:
            self.log.debug("the data: %s", data.hex())
            raise ParseError(f"it is no message {self.options.xpath_protobuf_type}: {error}") from None
        return ProtobufNode.document(message)
