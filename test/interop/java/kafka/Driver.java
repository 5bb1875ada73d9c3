import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Asks a broker for the checks of test/interop/kafka-java.test.ts with Apache Kafka's own clients,
 * one JSON line each. The last argument is the broker's URL.
 */
public final class Driver {
  // Who started this has given up by then, and may not be there any more to end it.
  private static final long WITHIN_MS = 240_000;

  // Most of a check is waiting for heartbeats, so several wait at once.
  private static final int THREADS = 6;

  interface Check {
    void run(Bench bench) throws Exception;
  }

  private Driver() {}

  private static String json(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  private static boolean report(Target target, String name, Check check) {
    long startedNs = System.nanoTime();
    try (Bench bench = new Bench(target)) {
      check.run(bench);
      long ms = (System.nanoTime() - startedNs) / 1_000_000;
      print("{\"check\":" + json(name) + ",\"ok\":true,\"ms\":" + ms + "}");
      return true;
    } catch (Throwable thrown) {
      Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
      StringBuilder error = new StringBuilder(String.valueOf(cause));
      for (StackTraceElement at : thrown.getStackTrace()) {
        if (!at.getClassName().contains(".")) error.append(" at ").append(at);
      }
      print(
          "{\"check\":" + json(name) + ",\"ok\":false,\"error\":" + json(error.toString()) + "}");
      return false;
    }
  }

  private static synchronized void print(String line) {
    System.out.println(line);
  }

  public static void main(String[] args) throws Exception {
    Target target = Target.parse(args[args.length - 1]);
    Timer watchdog = new Timer(true);
    watchdog.schedule(
        new TimerTask() {
          @Override
          public void run() {
            Runtime.getRuntime().halt(2);
          }
        },
        WITHIN_MS);
    Map<String, Check> checks = new LinkedHashMap<>();
    GroupChecks.addTo(checks);
    ClientChecks.addTo(checks);
    TransactionChecks.addTo(checks);
    AdminChecks.addTo(checks);
    if (args.length > 1) checks.keySet().removeIf(name -> !name.startsWith(args[0]));
    ExecutorService pool = Executors.newFixedThreadPool(THREADS);
    var results = new java.util.ArrayList<java.util.concurrent.Future<Boolean>>();
    checks.forEach(
        (name, check) -> results.add(pool.submit(() -> report(target, name, check))));
    boolean passed = true;
    for (var result : results) passed &= result.get();
    System.exit(passed ? 0 : 1);
  }
}
