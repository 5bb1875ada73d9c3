import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.mqttv5.client.MqttActionListener;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;

/**
 * Asks a broker for the checks of test/interop/mqtt-checks.ts with eclipse's asynchronous Java
 * clients, one JSON line each.
 */
public final class MqttDriver {
  private static final int WAIT_SECONDS = 20;
  private static final int WAIT_MS = WAIT_SECONDS * 1000;
  private static final int QUIET_MS = 300;

  /** What came; properties are null in MQTT 3.1.1. */
  private record Message(
      String topic, byte[] body, int qos, boolean retain, MqttProperties properties) {
    String text() {
      return new String(body, StandardCharsets.UTF_8);
    }
  }

  /** Of one connection; null stands for none. */
  private record Options(String id, boolean kept, String will, String password) {
    static final Options PLAIN = new Options(null, false, null, null);

    String idOrNew() {
      return id == null ? "ws-java-" + UUID.randomUUID().toString().substring(0, 8) : id;
    }
  }

  /** One connection; both libraries are hidden behind it. */
  private abstract static class Client {
    final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
    boolean sessionPresent;

    /** Returns what was granted. */
    abstract int subscribe(String filter, int qos, boolean noLocal) throws Exception;

    /** Returns when the broker has acknowledged. */
    abstract void publish(Message message) throws Exception;

    abstract void close() throws Exception;

    /** Ends the connection without a word. */
    abstract void vanish() throws Exception;

    int subscribe(String filter, int qos) throws Exception {
      return subscribe(filter, qos, false);
    }

    void publish(String topic, String body, int qos) throws Exception {
      publish(new Message(topic, bytes(body), qos, false, null));
    }

    void retain(String topic, String body) throws Exception {
      publish(new Message(topic, bytes(body), 1, true, null));
    }

    Message next() throws InterruptedException {
      Message message = messages.poll(WAIT_SECONDS, TimeUnit.SECONDS);
      if (message == null) throw new AssertionError("nothing came");
      return message;
    }

    void silent() throws InterruptedException {
      Message message = messages.poll(QUIET_MS, TimeUnit.MILLISECONDS);
      if (message != null) throw new AssertionError(message.topic() + " came, nothing should");
    }
  }

  private interface Connector {
    Client connect(String server, Options options) throws Exception;
  }

  private static final class Client3 extends Client
      implements org.eclipse.paho.client.mqttv3.MqttCallback {
    private final org.eclipse.paho.client.mqttv3.MqttAsyncClient client;

    Client3(String server, Options options) throws Exception {
      client =
          new org.eclipse.paho.client.mqttv3.MqttAsyncClient(
              server,
              options.idOrNew(),
              new org.eclipse.paho.client.mqttv3.persist.MemoryPersistence());
      client.setCallback(this);
      var connect = new org.eclipse.paho.client.mqttv3.MqttConnectOptions();
      connect.setMqttVersion(4);
      connect.setCleanSession(!options.kept());
      if (options.will() != null) connect.setWill(options.will(), bytes("gone"), 1, false);
      if (options.password() != null) {
        connect.setUserName("guest");
        connect.setPassword(options.password().toCharArray());
      }
      var token = client.connect(connect);
      token.waitForCompletion(WAIT_MS);
      sessionPresent = token.getSessionPresent();
    }

    @Override
    int subscribe(String filter, int qos, boolean noLocal) throws Exception {
      var token = client.subscribe(filter, qos);
      token.waitForCompletion(WAIT_MS);
      return token.getGrantedQos()[0];
    }

    @Override
    void publish(Message message) throws Exception {
      client
          .publish(message.topic(), message.body(), message.qos(), message.retain())
          .waitForCompletion(WAIT_MS);
    }

    @Override
    void close() throws Exception {
      client.disconnect().waitForCompletion(WAIT_MS);
      client.close();
    }

    @Override
    void vanish() throws Exception {
      client.disconnectForcibly(0, 1, false);
    }

    @Override
    public void connectionLost(Throwable cause) {}

    @Override
    public void messageArrived(
        String topic, org.eclipse.paho.client.mqttv3.MqttMessage message) {
      messages.add(
          new Message(topic, message.getPayload(), message.getQos(), message.isRetained(), null));
    }

    @Override
    public void deliveryComplete(org.eclipse.paho.client.mqttv3.IMqttDeliveryToken token) {}
  }

  private static final class Client5 extends Client
      implements org.eclipse.paho.mqttv5.client.MqttCallback {
    private final org.eclipse.paho.mqttv5.client.MqttAsyncClient client;

    Client5(String server, Options options) throws Exception {
      client =
          new org.eclipse.paho.mqttv5.client.MqttAsyncClient(
              server,
              options.idOrNew(),
              new org.eclipse.paho.mqttv5.client.persist.MemoryPersistence());
      client.setCallback(this);
      var connect = new org.eclipse.paho.mqttv5.client.MqttConnectionOptions();
      connect.setCleanStart(!options.kept());
      connect.setSessionExpiryInterval(options.kept() ? 60L : 0L);
      if (options.will() != null) {
        connect.setWill(
            options.will(),
            new org.eclipse.paho.mqttv5.common.MqttMessage(bytes("gone"), 1, false, null));
      }
      if (options.password() != null) {
        connect.setUserName("guest");
        connect.setPassword(bytes(options.password()));
      }
      var token = client.connect(connect);
      token.waitForCompletion(WAIT_MS);
      sessionPresent = token.getSessionPresent();
    }

    @Override
    int subscribe(String filter, int qos, boolean noLocal) throws Exception {
      var subscription = new org.eclipse.paho.mqttv5.common.MqttSubscription(filter, qos);
      subscription.setNoLocal(noLocal);
      org.eclipse.paho.mqttv5.common.MqttSubscription[] list = {subscription};
      MqttActionListener none = null;
      var token = client.subscribe(list, null, none, new MqttProperties());
      token.waitForCompletion(WAIT_MS);
      return token.getReasonCodes()[0];
    }

    @Override
    void publish(Message message) throws Exception {
      var sent =
          new org.eclipse.paho.mqttv5.common.MqttMessage(
              message.body(), message.qos(), message.retain(), message.properties());
      client.publish(message.topic(), sent).waitForCompletion(WAIT_MS);
    }

    @Override
    void close() throws Exception {
      client.disconnect().waitForCompletion(WAIT_MS);
      client.close();
    }

    @Override
    void vanish() throws Exception {
      client.disconnectForcibly(0, 1, false);
    }

    @Override
    public void messageArrived(
        String topic, org.eclipse.paho.mqttv5.common.MqttMessage message) {
      messages.add(
          new Message(
              topic,
              message.getPayload(),
              message.getQos(),
              message.isRetained(),
              message.getProperties()));
    }

    @Override
    public void disconnected(
        org.eclipse.paho.mqttv5.client.MqttDisconnectResponse disconnectResponse) {}

    @Override
    public void mqttErrorOccurred(org.eclipse.paho.mqttv5.common.MqttException exception) {}

    @Override
    public void deliveryComplete(org.eclipse.paho.mqttv5.client.IMqttToken token) {}

    @Override
    public void connectComplete(boolean reconnect, String serverURI) {}

    @Override
    public void authPacketArrived(int reasonCode, MqttProperties properties) {}
  }

  /** The broker, and the library that speaks to it. */
  private record World(String server, Connector connector) {
    Client open(Options options) throws Exception {
      return connector.connect(server, options);
    }

    Client open() throws Exception {
      return open(Options.PLAIN);
    }
  }

  private interface Check {
    void run(World world) throws Exception;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String topic() {
    return "ws/java/" + UUID.randomUUID().toString().substring(0, 8);
  }

  private static void same(Object seen, Object wanted) {
    if (!Objects.deepEquals(seen, wanted)) {
      throw new AssertionError(wanted + " was expected, got " + seen);
    }
  }

  private static Check roundTrip(int qos) {
    return world -> {
      Client client = world.open();
      String topic = topic();
      same(client.subscribe(topic, qos), qos);
      for (int number = 0; number < 20; number++) client.publish(topic, "" + number, qos);
      for (int number = 0; number < 20; number++) {
        Message message = client.next();
        same(message.text(), "" + number);
        same(List.of(message.qos(), message.retain()), List.of(qos, false));
      }
      client.silent();
      client.close();
    };
  }

  private static void wildcards(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    client.subscribe(topic + "/+/c", 1);
    for (String rest : List.of("/a/c", "/a/b", "/b/c", "//c")) client.publish(topic + rest, "x", 1);
    for (String rest : List.of("/a/c", "/b/c", "//c")) same(client.next().topic(), topic + rest);
    client.silent();
    client.close();
  }

  private static void retained(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    client.retain(topic + "/a", "old");
    client.retain(topic + "/a", "kept");
    client.subscribe(topic + "/#", 1);
    Message message = client.next();
    same(List.of(message.retain(), message.text()), List.of(true, "kept"));
    client.retain(topic + "/a", "");
    same(client.next().text(), "");
    client.close();
    Client later = world.open();
    later.subscribe(topic + "/#", 1);
    later.silent();
    later.close();
  }

  private static void will(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    client.subscribe(topic, 1);
    Options options = new Options(null, false, topic, null);
    world.open(options).close();
    client.silent();
    world.open(options).vanish();
    same(client.next().text(), "gone");
    client.close();
  }

  private static void session(World world) throws Exception {
    String topic = topic();
    Options kept = new Options(Options.PLAIN.idOrNew(), true, null, null);
    Client first = world.open(kept);
    same(first.sessionPresent, false);
    first.subscribe(topic, 2);
    first.vanish();
    Client other = world.open();
    for (int qos : List.of(1, 2)) other.publish(topic, "" + qos, qos);
    other.close();
    Client again = world.open(kept);
    same(again.sessionPresent, true);
    same(List.of(again.next().text(), again.next().text()), List.of("1", "2"));
    again.silent();
    again.close();
    Client fresh = world.open(new Options(kept.id(), false, null, null));
    same(fresh.sessionPresent, false);
    fresh.close();
  }

  private static void shared(World world) throws Exception {
    String topic = topic();
    List<Client> members = List.of(world.open(), world.open());
    List<String> wanted = new ArrayList<>();
    for (Client member : members) member.subscribe("$share/g/" + topic, 1);
    for (int number = 0; number < 40; number++) {
      wanted.add("" + number);
      members.get(0).publish(topic, "" + number, 1);
    }
    List<String> seen = new ArrayList<>();
    for (Client member : members) {
      for (Message message; ; seen.add(message.text())) {
        message = member.messages.poll(QUIET_MS, TimeUnit.MILLISECONDS);
        if (message == null) break;
      }
      member.close();
    }
    Collections.sort(seen);
    Collections.sort(wanted);
    same(seen, wanted);
  }

  private static void wrongPassword(World world) throws Exception {
    try {
      world.open(new Options(null, false, null, "wrong"));
    } catch (org.eclipse.paho.client.mqttv3.MqttSecurityException refusal) {
      same(refusal.getReasonCode(), 4);
      return;
    } catch (org.eclipse.paho.mqttv5.common.MqttException refusal) {
      same(refusal.getReasonCode(), 0x86);
      return;
    }
    throw new AssertionError("a wrong password was taken");
  }

  private static void large(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    byte[] body = new byte[2 * 1024 * 1024];
    for (int index = 0; index < body.length; index++) body[index] = (byte) index;
    client.subscribe(topic, 1);
    client.publish(new Message(topic, body, 1, false, null));
    same(client.next().body(), body);
    client.close();
  }

  private static void properties(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    MqttProperties sent = new MqttProperties();
    sent.setContentType("a/b");
    sent.setResponseTopic("answers/1");
    sent.setCorrelationData(new byte[] {0, -1});
    sent.setPayloadFormat(true);
    sent.setUserProperties(
        List.of(
            new UserProperty("k", "v"), new UserProperty("k", "w"), new UserProperty("a", "")));
    client.subscribe(topic, 1);
    client.publish(new Message(topic, bytes("x"), 1, false, sent));
    MqttProperties got = client.next().properties();
    same(got.getContentType(), "a/b");
    same(got.getResponseTopic(), "answers/1");
    same(got.getCorrelationData(), new byte[] {0, -1});
    same(got.getPayloadFormat(), true);
    same(got.getUserProperties(), sent.getUserProperties());
    client.close();
  }

  private static void expiry(World world) throws Exception {
    Client client = world.open();
    String topic = topic();
    MqttProperties sent = new MqttProperties();
    sent.setMessageExpiryInterval(30L);
    client.subscribe(topic, 1);
    client.publish(new Message(topic, bytes("x"), 1, false, sent));
    long left = client.next().properties().getMessageExpiryInterval();
    same(left >= 28 && left <= 30, true);
    client.close();
  }

  private static void noLocal(World world) throws Exception {
    Client client = world.open();
    Client other = world.open();
    String topic = topic();
    client.subscribe(topic, 1, true);
    client.publish(topic, "mine", 1);
    other.publish(topic, "theirs", 1);
    same(client.next().text(), "theirs");
    client.silent();
    client.close();
    other.close();
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

  private static void report(World world, String name, Check check) {
    String outcome = "\"ok\":true";
    try {
      check.run(world);
    } catch (Exception | AssertionError cause) {
      String at = cause.getStackTrace().length == 0 ? "" : " at " + cause.getStackTrace()[0];
      outcome = "\"ok\":false,\"error\":" + json(cause + at);
    }
    System.out.println("{\"check\":" + json(name) + "," + outcome + "}");
  }

  public static void main(String[] args) throws InterruptedException {
    Map<String, Check> checks = new LinkedHashMap<>();
    checks.put("qos-0", roundTrip(0));
    checks.put("qos-1", roundTrip(1));
    checks.put("qos-2", roundTrip(2));
    checks.put("wildcards", MqttDriver::wildcards);
    checks.put("retained", MqttDriver::retained);
    checks.put("will", MqttDriver::will);
    checks.put("session", MqttDriver::session);
    checks.put("shared", MqttDriver::shared);
    checks.put("wrong-password", MqttDriver::wrongPassword);
    checks.put("large", MqttDriver::large);
    Map<String, Check> only5 = new LinkedHashMap<>();
    only5.put("properties", MqttDriver::properties);
    only5.put("expiry", MqttDriver::expiry);
    only5.put("no-local", MqttDriver::noLocal);
    URI url = URI.create(args[0]);
    String server = "tcp://" + url.getHost() + ":" + url.getPort();
    World three = new World(server, Client3::new);
    World five = new World(server, Client5::new);
    // The library sleeps a good while in each connect and disconnect; the checks are independent.
    ExecutorService pool = Executors.newFixedThreadPool(6);
    checks.forEach((name, check) -> pool.submit(() -> report(three, name + " 3.1.1", check)));
    checks.forEach((name, check) -> pool.submit(() -> report(five, name + " 5.0", check)));
    only5.forEach((name, check) -> pool.submit(() -> report(five, name + " 5.0", check)));
    pool.shutdown();
    pool.awaitTermination(WAIT_SECONDS * 5, TimeUnit.SECONDS);
    // Clients that vanished have threads that go on.
    System.exit(0);
  }
}
