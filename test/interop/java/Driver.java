import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.LongString;
import com.rabbitmq.client.Return;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Asks a broker for the checks of test/interop/checks.ts, one JSON line each. */
public final class Driver {
  private static final int WAIT_SECONDS = 5;

  private interface Check {
    void run(Session session) throws Exception;
  }

  private interface Action {
    void run(Channel channel) throws Exception;
  }

  /** One connection and channel; queues it names are deleted at the end. */
  private static final class Session implements AutoCloseable {
    final String url;
    final Connection connection;
    final Channel channel;
    final List<String> names = new ArrayList<>();

    Session(String url) throws Exception {
      this.url = url;
      ConnectionFactory factory = new ConnectionFactory();
      factory.setUri(url);
      factory.setAutomaticRecoveryEnabled(false);
      connection = factory.newConnection();
      channel = connection.createChannel();
    }

    String queue(boolean durable, boolean exclusive, Map<String, Object> arguments)
        throws IOException {
      String name = "ws.java." + UUID.randomUUID();
      names.add(name);
      channel.queueDeclare(name, durable, exclusive, false, arguments);
      return name;
    }

    String queue() throws IOException {
      return queue(false, false, null);
    }

    void send(String queue, String body, AMQP.BasicProperties properties) throws IOException {
      channel.basicPublish("", queue, properties, bytes(body));
    }

    void send(String queue, String... bodies) throws IOException {
      for (String body : bodies) send(queue, body, null);
    }

    GetResponse get(String queue) throws Exception {
      for (int tries = 0; tries < WAIT_SECONDS * 100; tries++) {
        GetResponse response = channel.basicGet(queue, false);
        if (response != null) return response;
        Thread.sleep(10);
      }
      throw new AssertionError("no message in " + queue);
    }

    /** Asserts that an action, on a connection of its own, closes the channel with this code. */
    void refused(int code, Action action) throws Exception {
      try (Session other = new Session(url)) {
        CompletableFuture<Integer> seen = new CompletableFuture<>();
        other.channel.addShutdownListener(
            signal -> {
              if (signal.getReason() instanceof AMQP.Channel.Close close) {
                seen.complete(close.getReplyCode());
              }
            });
        try {
          action.run(other.channel);
        } catch (IOException | AlreadyClosedException expected) {
          // The code comes by the listener.
        }
        same(seen.get(WAIT_SECONDS, TimeUnit.SECONDS), code);
      }
    }

    @Override
    public void close() throws Exception {
      if (!connection.isOpen()) return;
      Channel cleaner = connection.createChannel();
      for (String name : names) cleaner.queueDelete(name);
      connection.close();
    }
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] body) {
    return new String(body, StandardCharsets.UTF_8);
  }

  private static void same(Object seen, Object wanted) {
    if (!Objects.deepEquals(seen, wanted)) {
      throw new AssertionError(wanted + " was expected, got " + seen);
    }
  }

  private static BlockingQueue<Delivery> consume(Channel channel, String queue)
      throws IOException {
    BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
    channel.basicConsume(
        queue,
        false,
        new DefaultConsumer(channel) {
          @Override
          public void handleDelivery(
              String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
            inbox.add(new Delivery(envelope, properties, body));
          }
        });
    return inbox;
  }

  private static Delivery next(BlockingQueue<Delivery> inbox) throws InterruptedException {
    Delivery delivery = inbox.poll(WAIT_SECONDS, TimeUnit.SECONDS);
    if (delivery == null) throw new AssertionError("no delivery");
    return delivery;
  }

  private static void declare(Session session) throws Exception {
    Map<String, Object> arguments = Map.of("x-max-length", 10);
    String queue = session.queue(true, false, arguments);
    same(session.channel.queueDeclare(queue, true, false, false, arguments).getMessageCount(), 0);
    session.channel.exchangeDeclare(queue, "topic", false, true, null);
    session.channel.queueBind(queue, queue, "a.*");
    session.channel.basicPublish(queue, "a.b", null, bytes("routed"));
    same(text(session.get(queue).getBody()), "routed");
    session.channel.queueUnbind(queue, queue, "a.*");
  }

  private static void serverNamed(Session session) throws Exception {
    String name = session.channel.queueDeclare().getQueue();
    same(name.startsWith("amq.gen-"), true);
    session.send(name, "x");
    same(text(session.get(name).getBody()), "x");
  }

  private static void confirm(Session session) throws Exception {
    String queue = session.queue(true, false, null);
    session.channel.confirmSelect();
    for (int index = 0; index < 500; index++) {
      AMQP.BasicProperties persistent =
          new AMQP.BasicProperties.Builder().deliveryMode(2).build();
      session.send(queue, String.valueOf(index), persistent);
    }
    session.channel.waitForConfirmsOrDie(WAIT_SECONDS * 1000L);
    same(session.channel.messageCount(queue), 500L);
  }

  private static void consume(Session session) throws Exception {
    String queue = session.queue();
    BlockingQueue<Delivery> inbox = consume(session.channel, queue);
    session.send(queue, "a", "b", "c");
    for (String body : List.of("a", "b", "c")) {
      Delivery delivery = next(inbox);
      same(text(delivery.getBody()), body);
      session.channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
    }
  }

  private static void ack(Session session) throws Exception {
    String queue = session.queue();
    session.send(queue, "a", "b", "c");
    session.get(queue);
    long second = session.get(queue).getEnvelope().getDeliveryTag();
    long third = session.get(queue).getEnvelope().getDeliveryTag();
    session.channel.basicAck(second, true);
    session.channel.basicNack(third, false, true);
    GetResponse last = session.get(queue);
    same(text(last.getBody()), "c");
    same(last.getEnvelope().isRedeliver(), true);
    same(last.getMessageCount(), 0);
  }

  private static void nackRequeue(Session session) throws Exception {
    String queue = session.queue();
    session.send(queue, "again");
    GetResponse first = session.get(queue);
    same(first.getEnvelope().isRedeliver(), false);
    session.channel.basicNack(first.getEnvelope().getDeliveryTag(), false, true);
    GetResponse second = session.get(queue);
    same(second.getEnvelope().isRedeliver(), true);
    session.channel.basicReject(second.getEnvelope().getDeliveryTag(), false);
  }

  private static void deadLetter(Session session) throws Exception {
    String dead = session.queue();
    String queue =
        session.queue(
            false,
            false,
            Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
    session.send(queue, "bad");
    long tag = session.get(queue).getEnvelope().getDeliveryTag();
    session.channel.basicNack(tag, false, false);
    GetResponse letter = session.get(dead);
    same(text(letter.getBody()), "bad");
    List<?> deaths = (List<?>) letter.getProps().getHeaders().get("x-death");
    Map<?, ?> death = (Map<?, ?>) deaths.get(0);
    same(death.get("queue").toString(), queue);
    same(death.get("reason").toString(), "rejected");
    same(death.get("count"), 1L);
  }

  private static void mandatoryReturn(Session session) throws Exception {
    CompletableFuture<Return> returned = new CompletableFuture<>();
    session.channel.addReturnListener(returned::complete);
    session.channel.basicPublish("amq.direct", "nowhere", true, null, bytes("back"));
    Return message = returned.get(WAIT_SECONDS, TimeUnit.SECONDS);
    same(text(message.getBody()), "back");
    same(message.getReplyCode(), 312);
  }

  private static void exclusive(Session session) throws Exception {
    String queue = session.queue(false, true, null);
    session.send(queue, "own");
    same(text(session.get(queue).getBody()), "own");
    session.refused(405, channel -> channel.basicConsume(queue, new DefaultConsumer(channel)));
  }

  private static void prefetch(Session session) throws Exception {
    String queue = session.queue();
    session.send(queue, "a", "b", "c");
    session.channel.basicQos(2);
    BlockingQueue<Delivery> inbox = consume(session.channel, queue);
    Delivery first = next(inbox);
    same(text(next(inbox).getBody()), "b");
    same(inbox.poll(100, TimeUnit.MILLISECONDS), null);
    session.channel.basicAck(first.getEnvelope().getDeliveryTag(), false);
    same(text(next(inbox).getBody()), "c");
  }

  private static void error403(Session session) throws Exception {
    session.refused(403, channel -> channel.queueDeclare("amq.mine", false, false, false, null));
  }

  private static void error404(Session session) throws Exception {
    session.refused(404, channel -> channel.queueDeclarePassive("ws.java.missing"));
    session.refused(404, channel -> channel.basicPublish("ws.java.missing", "k", null, bytes("x")));
  }

  private static void error405(Session session) throws Exception {
    String queue = session.queue(false, true, null);
    session.refused(405, channel -> channel.queuePurge(queue));
  }

  private static void error406(Session session) throws Exception {
    String queue = session.queue(true, false, null);
    session.refused(406, channel -> channel.queueDeclare(queue, false, false, false, null));
  }

  private static void properties(Session session) throws Exception {
    String queue = session.queue();
    AMQP.BasicProperties sent =
        new AMQP.BasicProperties.Builder()
            .contentType("text/plain")
            .contentEncoding("utf-8")
            .deliveryMode(2)
            .priority(3)
            .correlationId("c")
            .replyTo("r")
            .expiration("60000")
            .messageId("m")
            .timestamp(new Date(1_700_000_000_000L))
            .type("t")
            .userId("guest")
            .appId("a")
            .build();
    session.send(queue, "x", sent);
    same(session.get(queue).getProps(), sent);
  }

  private static void headerTypes(Session session) throws Exception {
    String queue = session.queue();
    Map<String, Object> sent = new HashMap<>();
    sent.put("void", null);
    sent.put("bool", true);
    sent.put("byte", (byte) -5);
    sent.put("short", (short) -300);
    sent.put("int", -70_000);
    sent.put("long", Long.MIN_VALUE);
    sent.put("float", 0.5f);
    sent.put("double", Math.PI);
    sent.put("decimal", new BigDecimal("12.34"));
    sent.put("string", "naïve ✓");
    sent.put("bytes", new byte[] {0, -1});
    sent.put("date", new Date(1_700_000_000_000L));
    sent.put("table", Map.of("inner", Map.of("deep", "x")));
    sent.put("array", Arrays.asList("a", 1, true, null, Map.of("b", "c")));
    session.send(queue, "x", new AMQP.BasicProperties.Builder().headers(sent).build());
    Map<String, Object> seen = session.get(queue).getProps().getHeaders();
    same(seen.keySet(), sent.keySet());
    for (Map.Entry<String, Object> entry : sent.entrySet()) {
      same(plain(seen.get(entry.getKey())), plain(entry.getValue()));
    }
  }

  /** Strings come back as LongString, also inside of tables and arrays. */
  private static Object plain(Object value) {
    if (value instanceof LongString) return value.toString();
    if (value instanceof List<?> list) {
      List<Object> items = new ArrayList<>();
      for (Object item : list) items.add(plain(item));
      return items;
    }
    if (value instanceof Map<?, ?> map) {
      Map<Object, Object> fields = new HashMap<>();
      map.forEach((key, item) -> fields.put(key, plain(item)));
      return fields;
    }
    return value;
  }

  private static String json(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  private static boolean report(String url, String name, Check check) {
    try (Session session = new Session(url)) {
      check.run(session);
      System.out.println("{\"check\":" + json(name) + ",\"ok\":true}");
      return true;
    } catch (Exception | AssertionError cause) {
      Throwable shown =
          cause instanceof ExecutionException || cause.getCause() instanceof ShutdownSignalException
              ? cause.getCause()
              : cause;
      String at = cause.getStackTrace().length == 0 ? "" : " at " + cause.getStackTrace()[0];
      String error = json(shown + at);
      System.out.println("{\"check\":" + json(name) + ",\"ok\":false,\"error\":" + error + "}");
      return false;
    }
  }

  public static void main(String[] args) {
    Map<String, Check> checks = new LinkedHashMap<>();
    checks.put("declare", Driver::declare);
    checks.put("server-named", Driver::serverNamed);
    checks.put("confirm", Driver::confirm);
    checks.put("consume", Driver::consume);
    checks.put("ack", Driver::ack);
    checks.put("nack-requeue", Driver::nackRequeue);
    checks.put("dead-letter", Driver::deadLetter);
    checks.put("mandatory-return", Driver::mandatoryReturn);
    checks.put("exclusive", Driver::exclusive);
    checks.put("prefetch", Driver::prefetch);
    checks.put("error-403", Driver::error403);
    checks.put("error-404", Driver::error404);
    checks.put("error-405", Driver::error405);
    checks.put("error-406", Driver::error406);
    checks.put("properties", Driver::properties);
    checks.put("header-types", Driver::headerTypes);
    boolean passed = true;
    for (Map.Entry<String, Check> entry : checks.entrySet()) {
      passed &= report(args[0], entry.getKey(), entry.getValue());
    }
    System.exit(passed ? 0 : 1);
  }
}
