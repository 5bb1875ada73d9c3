"""The warehouse: an AMQP worker that knows nothing of gRPC, and provides shop.v1.Warehouse.

python warehouse.py amqp://guest:guest@127.0.0.1:5672
"""
import pathlib
import sys

import grpc
import pika
from google.protobuf import json_format

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
shop = grpc.protos('shop.proto')

stock = {'tea': 10, 'cup': 3}


def reserve(request):
    """The reply, or a status and a text."""
    left = stock.get(request.sku, 0) - request.count
    if left < 0:
        return 'FAILED_PRECONDITION', f'{stock.get(request.sku, 0)} of {request.sku} on stock'
    stock[request.sku] = left
    return shop.ReserveReply(left=left)


def called(channel, method, properties, body):
    is_json = properties.content_type == 'application/json'
    request = shop.ReserveRequest()
    if is_json:
        json_format.Parse(body, request)
    else:
        request.ParseFromString(body)
    answer, headers = reserve(request), {}
    if isinstance(answer, tuple):
        headers = {'grpc-status': answer[0], 'grpc-message': answer[1]}
        answer = b''
    elif is_json:
        answer = json_format.MessageToJson(answer)
    else:
        answer = answer.SerializeToString()
    said = pika.BasicProperties(correlation_id=properties.correlation_id, headers=headers)
    channel.basic_publish('', properties.reply_to, answer, said)
    channel.basic_ack(method.delivery_tag)


channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.queue_declare('rpc-worker.shop.v1.Warehouse')
channel.basic_consume('rpc-worker.shop.v1.Warehouse', called)
print('the warehouse is open', flush=True)
channel.start_consuming()
