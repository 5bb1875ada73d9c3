import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.ConnectionFactory;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The office, which looks orders up: a client of RabbitMQ.
 *
 * <p>{@code java -cp amqp-client.jar Office.java amqp://guest:guest@127.0.0.1:5672 ORDER...}
 */
public final class Office {
  public static void main(String[] arguments) throws Exception {
    var factory = new ConnectionFactory();
    factory.setUri(arguments[0]);
    try (var connection = factory.newConnection()) {
      var channel = connection.createChannel();
      var answers = new LinkedBlockingQueue<String>();
      channel.basicConsume(
          "amq.rabbitmq.reply-to",
          true,
          (tag, answer) -> {
            var status = answer.getProperties().getHeaders().get("grpc-status");
            answers.add(status + " " + new String(answer.getBody(), StandardCharsets.UTF_8));
          },
          tag -> {});
      for (int i = 1; i < arguments.length; i++) {
        var said =
            new AMQP.BasicProperties.Builder()
                .contentType("application/json")
                .replyTo("amq.rabbitmq.reply-to")
                .correlationId(arguments[i])
                .expiration("10000")
                .build();
        var request = "{\"id\":\"" + arguments[i] + "\"}";
        channel.basicPublish(
            "amq.rpc", "shop.v1.Orders.Find", said, request.getBytes(StandardCharsets.UTF_8));
        System.out.println(answers.poll(20, TimeUnit.SECONDS));
      }
    }
  }
}
