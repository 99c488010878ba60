-- The shop of the quickstart: tables, and functions that make their rows.
create type order_status as enum ('new', 'paid', 'shipped', 'returned');

create table customers (
    id bigint primary key,
    name text not null,
    email text,
    born date,
    active boolean not null,
    credit numeric(12, 2) not null,
    score double precision,
    since timestamptz not null,
    profile jsonb
);

create table orders (
    id bigint primary key,
    customer_id bigint not null references customers,
    status order_status not null,
    total numeric(12, 2) not null,
    placed_at timestamp not null,
    reference uuid not null,
    note text
);

create table order_items (
    order_id bigint not null references orders,
    line integer not null,
    sku varchar(20) not null,
    quantity smallint not null,
    price numeric(10, 2) not null,
    gift boolean not null,
    primary key (order_id, line)
);

-- Customers `first` to `last`.
create function make_customers(first bigint, last bigint) returns setof customers language sql as $$
    select i, 'Customer ' || i, case when mod(i, 5) <> 0 then 'c' || i || '@example.org' end,
        date '1950-01-01' + mod(i * 37, 20000)::int, mod(i, 7) <> 0, mod(i * 13, 1000000) / 100.0,
        case when mod(i, 3) <> 0 then mod(i, 1000) / 7.0::float8 end,
        timestamptz '2024-01-01 00:00:00+00' + mod(i, 1000000) * interval '61 seconds',
        jsonb_build_object('tier', mod(i, 4), 'tags', jsonb_build_array('a' || mod(i, 9), 'ü'))
    from generate_series(first, last) i
$$;

-- Orders 1 to `orders`, spread over `customers` customers.
create function make_orders(customers bigint, orders bigint) returns setof orders language sql as $$
    select i, 1 + mod(i * 7919, customers), (enum_range(null::order_status))[1 + mod(i, 4)], mod(i * 31, 5000000) / 100.0,
        timestamp '2025-01-01' + i * interval '17.25 seconds', md5(i::text)::uuid,
        case when mod(i, 4) = 0 then 'note for order ' || i || repeat('.', mod(i, 50)::int) end
    from generate_series(1, orders) i
$$;

-- `items` items, spread over `orders` orders.
create function make_items(orders bigint, items bigint) returns setof order_items language sql as $$
    select 1 + mod(i, orders), 1 + (i / orders)::int, 'SKU-' || lpad(mod(i * 17, 99999)::text, 6, '0'), (1 + mod(i, 9))::smallint,
        mod(i * 7, 100000) / 100.0, mod(i, 11) = 0
    from generate_series(0, items - 1) i
$$;
