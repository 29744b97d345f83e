"""The dashboard in Chromium: nothing is blocked or broken, everybody can use it, and what happens is seen at once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from lake.tables.gold import DEVICE_MINUTES
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from streams.output_topics import ALERTS, LATEST, ensure_output_topics
from tests.support.node_clients import BROWSER_PACKAGES, browser, run_script, script_lines
from tests.support.served_gold import START, publish, row, rows_of, served

_LOOK = """
const puppeteer = require('puppeteer-core');
const axe = require('fs').readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const [program, address, key, paths] = process.argv.slice(1);
(async () => {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const browser = await puppeteer.launch({executablePath: program, args});
  const told = [];
  const isDrawn = () => document.querySelector('.uplot canvas') && !document.querySelector('[aria-busy]');
  for (const [width, theme] of [[1400, 'light'], [1400, 'dark'], [390, 'light'], [390, 'dark']]) {
    const page = await (await browser.createBrowserContext()).newPage();
    page.on('pageerror', error => told.push(`error: ${error.message}`));
    page.on('console', message => { if (message.type() === 'error') told.push(`console: ${message.text()}`); });
    page.on('request', request => {
      if (!request.url().startsWith(address) && !request.url().startsWith('data:')) told.push(`loads ${request.url()}`);
    });
    await page.setViewport({width, height: 844, isMobile: width < 500});
    await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: theme}]);
    await page.goto(`${address}/sign-in`);
    await page.type('#key', key);
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    for (const path of JSON.parse(paths)) {
      await page.goto(address + path);
      if (path.startsWith('/devices')) await page.waitForFunction(isDrawn);
      await page.evaluate(axe);
      const {violations} = await page.evaluate(() => axe.run(document));
      for (const each of violations) {
        const place = `${width} ${path} ${each.id}: ${each.nodes[0].html.slice(0, 200)}`;
        if (['serious', 'critical'].includes(each.impact)) told.push(place);
      }
      const wide = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth));
      if (wide > width) told.push(`${width} ${path} is ${wide} wide`);
    }
  }
  await browser.close();
  console.log(JSON.stringify(told));
})().catch(error => { console.error(error); process.exit(1); });
"""
_FOLLOW = """
const puppeteer = require('puppeteer-core');
const [program, address, key] = process.argv.slice(1);
(async () => {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const browser = await puppeteer.launch({executablePath: program, args});
  const page = await browser.newPage();
  await page.goto(`${address}/sign-in?next=/devices/d1`);
  await page.type('#key', key);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  const text = selector => page.$eval(selector, each => each.textContent.trim());
  const isLive = () => document.documentElement.dataset.live === 'yes' && document.querySelector('.uplot canvas');
  await page.waitForFunction(isLive);
  const isTold = () => document.querySelector('td .hot').textContent.includes('41.25');
  const seen = page.waitForFunction(isTold, {polling: 20});
  console.log('ready');
  await seen;
  const hot = [await text('td .hot'), await text('tbody td')];
  await page.click('[data-span="86400"]');
  await page.waitForFunction(() => !document.querySelector('[aria-busy]'));
  await page.focus('#chart');
  await page.keyboard.press('ArrowRight');
  const figure = await text('#figure span');
  await page.goto(`${address}/alerts`);
  await page.waitForFunction(() => document.querySelector('#refreshed').textContent.includes('too_hot'));
  console.log(JSON.stringify({hot, figure, says: await text('#refreshed tbody')}));
  await browser.close();
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Address, broker and key of a server over ten hours of gold and a hot path."""
    browser()
    home = tmp_path_factory.mktemp("browser")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    minutes = [row(DEVICE_MINUTES, "d1", START + timedelta(minutes=minute), 1.0) for minute in range(60, 600)]
    publish(settings, 1, {**rows_of(10, 1.0), DEVICE_MINUTES: minutes})
    scopes = parse_scopes(["read", "release"])
    key = ApiKeys(settings).create("all", scopes, datetime.now(UTC), requests_a_second=1000)[1]
    with running_broker(settings) as bootstrap:
        ensure_output_topics(bootstrap)
        with served(home, {"LAKEHOUSE_KAFKA_BOOTSTRAP": bootstrap}) as address:
            yield address, bootstrap, key


def tell(bootstrap: str, topic: str, body: dict[str, Any]) -> None:
    """Put a message of the hot path where it would."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(topic, json.dumps(body), "d1")
    assert producer.flush(120) == 0


def test_pages_are_whole_and_open_to_everybody(dashboard: tuple[str, str, str]) -> None:
    """On a desk and on a phone, in light and in dark: no error, nothing blocked or from elsewhere, no serious finding
    of axe, nothing wider than the screen."""
    address, _, key = dashboard
    paths = ["/", "/devices/d1", "/completeness", "/completeness?day=2026-11-18", "/held", "/alerts", "/trace"]
    printed = run_script(_LOOK, browser(), address, key, json.dumps(paths), packages=BROWSER_PACKAGES)
    assert json.loads(printed) == []


def test_a_change_of_a_device_is_seen_at_once(dashboard: tuple[str, str, str]) -> None:
    """A value that the hot path tells stands on the open page, beside the published one; so does an alarm on its."""
    address, bootstrap, key = dashboard
    value = {"device_id": "d1", "site_id": "north", "metric_name": "temperature", "unit": "degc", "value": 41.25,
             "event_at": "2026-11-18T10:05:00Z"}  # fmt: skip
    alarm = {"rule": "too_hot", "change": "fired", "severity": "critical", "device_id": "d1", "at": value["event_at"],
             "since": value["event_at"], "seen": {"value": 41.25, "site_id": "north"}}  # fmt: skip

    lines = script_lines(_FOLLOW, browser(), address, key, packages=BROWSER_PACKAGES)
    assert next(lines) == "ready"
    tell(bootstrap, LATEST, value)
    tell(bootstrap, ALERTS, alarm)
    told = json.loads(next(lines))
    assert list(lines) == []
    assert told["hot"] == ["41.25 °C", "1.00 °C"]
    assert "2026-11-1" in told["figure"]
    assert "fired" in told["says"]
