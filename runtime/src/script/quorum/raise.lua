-- What follows begins with this: lifts the lock's counter of tokens, and the ledger's highest, to the token at least.
local function raise(counter, ledger, token, life)
  if tonumber(redis.call('GET', counter) or '0') < tonumber(token) then
    redis.call('SET', counter, token, 'PX', life)
  end
  local high = redis.call('HGET', ledger, 'high')
  if high and tonumber(high) < tonumber(token) then
    redis.call('HSET', ledger, 'high', token)
  end
end
