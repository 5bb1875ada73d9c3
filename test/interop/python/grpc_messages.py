"""What the interop cases use of grpc/testing/messages.proto, as classes made at run time."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = {"bool": 8, "string": 9, "bytes": 12, "int32": 5}

# Name of the field: number, type or message, and whether it is a list.
_MESSAGES = {
    "Empty": {},
    "Payload": {"type": (1, "int32"), "body": (2, "bytes")},
    "EchoStatus": {"code": (1, "int32"), "message": (2, "string")},
    "SimpleRequest": {
        "response_size": (2, "int32"),
        "payload": (3, "Payload"),
        "response_status": (7, "EchoStatus"),
    },
    "SimpleResponse": {"payload": (1, "Payload")},
    "StreamingInputCallRequest": {"payload": (1, "Payload")},
    "StreamingInputCallResponse": {"aggregated_payload_size": (1, "int32")},
    "ResponseParameters": {"size": (1, "int32"), "interval_us": (2, "int32")},
    "StreamingOutputCallRequest": {
        "response_parameters": (2, "ResponseParameters", "list"),
        "payload": (3, "Payload"),
        "response_status": (7, "EchoStatus"),
    },
    "StreamingOutputCallResponse": {"payload": (1, "Payload")},
}


def _file():
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/testing/messages.proto", package="grpc.testing", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, *is_list) in fields.items():
            made = message.field.add(name=field, number=number, label=3 if is_list else 1)
            if kind in _TYPES:
                made.type = _TYPES[kind]
            else:
                made.type, made.type_name = 11, f".grpc.testing.{kind}"
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def message(name):
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"grpc.testing.{name}"))


Empty = message("Empty")
Payload = message("Payload")
EchoStatus = message("EchoStatus")
SimpleRequest = message("SimpleRequest")
SimpleResponse = message("SimpleResponse")
InputRequest = message("StreamingInputCallRequest")
InputResponse = message("StreamingInputCallResponse")
Parameters = message("ResponseParameters")
OutputRequest = message("StreamingOutputCallRequest")
OutputResponse = message("StreamingOutputCallResponse")
