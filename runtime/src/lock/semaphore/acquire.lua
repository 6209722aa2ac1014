-- KEYS[1] the holders; KEYS[2] the queue; KEYS[3] the counter of tokens. ARGV[1] to ARGV[8] as of `acquire.lua`; ARGV[10] how
-- many permits there are.
-- Returns {1, token} or {0, when the first holder's life ends, our place in the queue, server time}.
local holders, queue, counter = KEYS[1], KEYS[2], KEYS[3]
local value, permits = ARGV[1], tonumber(ARGV[10])
local ms = purge(holders)
local inside = redis.call('ZSCORE', holders, value)
if not inside then
  fill(holders, queue, counter, permits, ARGV[6], ARGV[7], ARGV[4], ms, value)
end
if inside or redis.call('ZCARD', holders) < permits then
  redis.call('ZADD', holders, ms + ARGV[2], value)
  keep(holders, ms)
  if ARGV[3] == '' then
    return {1, 0}
  end
  return {1, mint(counter, ARGV[3], ARGV[4])}
end
local place = queue_up(queue, value .. ARGV[3], ARGV[5], ARGV[8])
keep(holders, ms)
local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')
return {0, tonumber(first[2]) - ms, place, now()}
