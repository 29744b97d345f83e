"""Hub: identities, provisioning, twins, methods, commands, and the listener that devices and services connect to.

Belongs here: what Azure IoT Hub, its provisioning service and Digital Twins do for their clients. What leaves the room
is messages in the landing zone; the lake's rules of what a message means do not belong here.

| floor | what belongs there | stands on |
| --- | --- | --- |
| `registry` | identities, twins, enrolments, queues, the outbox: tables and transactions | |
| `query` | the query language: text, tree, SQL | |
| `twins` | documents, queries, the twin graph, jobs over many devices | registry, query |
| `access` | who may connect or register, and how much | registry |
| `messages` | records to Kafka: shapes, routes, the producer, repeats | registry |
| `links` | bytes over TLS and websockets, keys and certificates | |
| `sessions` | who is connected, what goes up and down | registry, access, messages |
| `mqtt`, `amqp` | what a client's packets and frames bring about | sessions, links |
| `api` | the REST interfaces | registry, query, twins |

Beside them stand what all share (`hub_errors`, `methods`), the process (`hub_process`, `listener`) and its face to
the other rooms (`programs`, `checks`, `administration`).
"""
